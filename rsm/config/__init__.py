"""Settings of a run, studies and their grids, the names that settings may take, and reading YAML."""
