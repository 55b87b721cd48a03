"""Takes jobs from the queue to one true end: queue, dispatcher, tracker, collector, janitor, and the loop around them."""
