"""The convolutional autoencoder (torch): built for training, and rebuilt from an exported file as a reference."""
