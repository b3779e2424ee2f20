document.title = "Notes, ready";
