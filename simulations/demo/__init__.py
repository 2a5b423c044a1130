"""Traffic that comes with the package, all of it made by this project: see `catalogue.json` for what each is."""
