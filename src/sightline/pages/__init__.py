"""What every page that Sightline writes is made of: its markup, its style, and the shell around it."""
