"""Text as a diffusion model reads it: tokens, and the encoder that turns them into features."""
