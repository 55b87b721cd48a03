"""Cases from the field, each a test named after it."""
