"""The commands of `gateway`. Each imports what it needs when it runs, so that small ones start fast."""
