"""SPIRL: salient patches of a masked autoencoder, played by a data-efficient Rainbow."""
