return { too_long = "A note has at most %d characters" }
