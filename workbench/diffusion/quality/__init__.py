"""Quality by networks the user has the weights of: FID by Inception, CLIPScore by CLIP."""
