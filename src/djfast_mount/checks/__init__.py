"""System checks: what the settings alone tell, before anything is served."""
