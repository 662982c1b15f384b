#!/bin/sh
# Compares the servers that claude.md names with those that are configured; prints how many differ.
set -eu
page="${SYNCLINE_CONFIG_CLAUDE_MD:-claude.md}"
config="${SYNCLINE_CONFIG_MCP_CONFIG:-world/mcp.json}"
mkdir -p docs
score=0
{
    echo "# Configuration drift"
    echo
    for server in $(sed -n 's/^- mcp: //p' "$page"); do
        if grep -q "\"$server\"" "$config"; then
            echo "- $server is configured"
        else
            echo "- $server is named, and not configured"
            score=$((score + 1))
        fi
    done
} > docs/claude-config-drift.md
echo "$score"
