#!/bin/sh
# Fills an empty stack with the sample business, once. With an OMS of your own there is nothing to do.
set -eu

if [ -z "${OMS_SOURCE_URL:-}" ] && [ ! -e "$OMS_HOME/demo_loaded" ]; then
    oms demo
    touch "$OMS_HOME/demo_loaded"
fi
