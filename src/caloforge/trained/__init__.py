"""What a training leaves: where the model was trained, its card, and the files of both with the weights."""
