"""How many tensors timm's networks have in their files, counts of batches included."""

STATE_DICTS = {
    "convnext_tiny": 182,
    "efficientnet_b0": 360,
    "mobilenetv1_100": 164,
    "mobilenetv2_100": 314,
    "mobilenetv3_large_100": 312,
    "resnext50_32x4d": 320,
}
