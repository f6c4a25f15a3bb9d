"""What trains and runs networks of torch, whatever they are for."""
