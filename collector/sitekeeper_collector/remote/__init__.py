"""What goes from the county to its sites: settings by revision, and commands."""
