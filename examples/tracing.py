"""A span for each request, and one inside it, printed to standard output when it ends.

Needs ``pip install 'trillium-trio[otel]' opentelemetry-sdk``. Try ``curl http://localhost:8080/users/7``.
"""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

import trillium_trio as tt
from trillium_trio.handlers import Router, Tracing

tracer = trace.get_tracer("shop")


async def user(conn: tt.Conn) -> tt.Conn:
    with tracer.start_as_current_span("ask the database"):
        return conn.ok("a user\n")


if __name__ == "__main__":
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    tt.config().run((Tracing(), Router().get("/users/{id}", user)))
