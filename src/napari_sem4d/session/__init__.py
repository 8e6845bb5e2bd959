"""What the user is doing: inputs, setup, runs, results. No Qt, no napari."""
