#!/bin/sh
# Puts the page where a web server finds it, when what it shows has changed.
set -eu
site="$HOME/.syncline-example-site"
{
    echo "<h1>Apps</h1><pre>"
    cat docs/runtime/apps_truth.json
    echo "</pre>"
} > "$site/index.html"
