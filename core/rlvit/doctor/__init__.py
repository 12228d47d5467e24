"""What `rlvit doctor` looks at: this machine, the home, the registry, studies and plugins."""
