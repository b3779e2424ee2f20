"""Projects of the shapes that people join by hand, each with its hand-made join and with `mount()`."""
