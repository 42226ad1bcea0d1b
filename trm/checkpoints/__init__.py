"""Reading trained models: by name, with checks that they fit the data."""
