"""Two servers on one swansong: one Ctrl-C drains both.

The first runs in a thread of its own, and leaves the signals to the second.
"""

import trillium_trio as tt


async def to_https(conn: tt.Conn) -> tt.Conn:
    return conn.redirect(f"https://example.com{conn.path}")


async def app(conn: tt.Conn) -> tt.Conn:
    return conn.ok("the app\n")


def main(redirect_port: int = 8080, app_port: int = 8443) -> tuple[tt.DrainReport, tt.DrainReport]:
    swansong = tt.Swansong()
    config = tt.config().with_swansong(swansong)
    redirects = config.with_port(redirect_port).without_signals().spawn(to_https)
    report = config.with_port(app_port).run(app)
    return redirects.block(), report


if __name__ == "__main__":
    for each in main():
        print(each)
