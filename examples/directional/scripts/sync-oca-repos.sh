#!/bin/sh
# Stands in for cloning repositories: brings every module of the source.
set -eu
mkdir -p addons/oca
cp -r "$SYNCLINE_CONFIG_SOURCE"/. addons/oca/
