"""Echo over WebSockets, beside uvicorn's two implementations."""
