"""What can be asked for: settings of a run, studies and their grids, names to choose from, and YAML."""
