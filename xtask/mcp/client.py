"""What the official client of the protocol says to `syncline mcp` and to `/mcp`; run by `cargo xtask test`.

Usage: client.py PROGRAM CONFIG ADDRESS, where ADDRESS is that of a server over the same workspace. The client checks every
structured result against the schema that the tool promised. Whatever is not as it should be ends it with a failure.
"""

import asyncio
import sys

from mcp import Client, StdioServerParameters

PATIENCE = 120
TOOLS = {"sync_trigger", "sync_status", "sync_history", "plan", "drift", "conflicts", "conflict_resolve", "explain"}


def text(result):
    return "\n".join(block.text for block in result.content)


async def converse(server, mode):
    async with Client(server, mode=mode) as client:
        listed = await client.list_tools()
        tools = {tool.name: tool for tool in listed.tools}
        assert TOOLS <= tools.keys(), tools.keys()
        assert tools["plan"].annotations.read_only_hint and not tools["plan"].annotations.destructive_hint
        assert tools["rollback"].annotations.destructive_hint

        for name, arguments in [
            ("sync_status", {}),
            ("plan", {}),
            ("drift", {"targets": ["main"]}),
            ("conflicts", {}),
            ("targets", {}),
            ("versions", {"path": "notes.md"}),
            ("explain", {"path": "notes.md"}),
            ("sync_trigger", {"targets": ["main"]}),
            ("sync_history", {"limit": 3}),
            ("doctor", {}),
            ("scrub", {}),
            ("watch_status", {}),
        ]:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, (name, text(result))
            assert result.structured_content["result"]["version"] == 1, (name, result.structured_content)
            boundary = result.meta["syncline/boundary"]
            assert f"BEGIN UNTRUSTED DATA {boundary}\n" in text(result), (name, text(result))

        refused = await client.call_tool("rollback", {"run": "last"})
        assert refused.is_error and "dry_run" in text(refused), text(refused)
        unknown = await client.call_tool("sync_trigger", {"targets": ["nobody"]})
        assert unknown.is_error and unknown.meta["syncline/problem"]["code"] == "unknown_target", unknown
        seen = await client.call_tool("rollback", {"run": "last", "dry_run": True})
        assert not seen.is_error and seen.structured_content["result"]["dry_run"], text(seen)

        resources = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert {"syncline://reports/latest", "syncline://targets/main"} <= resources, resources
        templates = {each.uri_template for each in (await client.list_resource_templates()).resource_templates}
        assert "syncline://conflicts/{id}" in templates, templates
        for uri in ["syncline://reports/latest", "syncline://targets/main"]:
            contents = (await client.read_resource(uri)).contents
            assert '"notice"' in contents[0].text, contents
        try:
            await client.read_resource("syncline://targets/nobody")
        except Exception as error:
            assert "nobody" in str(error), error
        else:
            raise AssertionError("a resource that is none was read")


async def main():
    program, config, address = sys.argv[1:]
    stdio = StdioServerParameters(command=program, args=["mcp", "--config", config])
    for server in [stdio, f"{address}/mcp"]:
        for mode in ["legacy", "2026-07-28", "auto"]:
            async with asyncio.timeout(PATIENCE):
                await converse(server, mode)


asyncio.run(main())
