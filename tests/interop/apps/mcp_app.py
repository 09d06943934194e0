"""The MCP SDK: tools over its streamable HTTP transport, whose answers are event streams."""

from mcp.server.mcpserver import Context, MCPServer

from tests.interop.apps import LINES, wait_for_stop

server = MCPServer("interop")


@server.tool()
async def hello() -> str:
    return "hello"


@server.tool()
def sync() -> str:
    return "sync"


@server.tool()
async def stream(context: Context) -> str:
    for number, line in enumerate(LINES):
        await context.report_progress(number, len(LINES), line)
    return "".join(LINES)


@server.tool()
async def upload(text: str) -> str:
    return str(len(text))


@server.tool()
async def slow(context: Context) -> str:
    request = context.request_context.request
    assert request is not None, "over HTTP there is one"
    await wait_for_stop(request.scope)
    return "finished"


app = server.streamable_http_app()
