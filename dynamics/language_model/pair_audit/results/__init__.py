"""The results of an audit on the disk, shared by several processes and resumed after an interruption."""
