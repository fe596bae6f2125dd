"""Students: one encoder pass and parallel decoders, beside a consistency and a one-step student."""
