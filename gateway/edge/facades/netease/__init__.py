"""The REST dialect of NetEase YunXin v2 (netease.md): it translates, and decides nothing."""
