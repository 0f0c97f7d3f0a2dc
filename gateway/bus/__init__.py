"""The bus port and its engines: hints to the other nodes, which may be lost."""
