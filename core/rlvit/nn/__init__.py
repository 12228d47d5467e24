"""Network parts that several methods share, so that each method writes only what is its own."""
