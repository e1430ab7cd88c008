"""From a file to the tokens of each pair: containers, columns, rows, tokens; and how rows are related."""
