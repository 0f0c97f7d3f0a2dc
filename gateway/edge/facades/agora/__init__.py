"""The REST dialect of Agora Chat and Easemob (agora.md): it translates, and decides nothing."""
