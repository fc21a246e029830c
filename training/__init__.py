"""Train, evaluate and export the networks of streamcolor. Not part of the wheel."""
