"""PPO glimpse: agents that move and zoom a small window until they can name the image."""
