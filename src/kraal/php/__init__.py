"""PHP: the native library, its settings, and what it says of itself."""
