#!/bin/sh
# A server tool: its arguments come as JSON on stdin, what it prints is the result, an exit status other than 0 is an error.
# {"amounts":[1.5,2]} -> 3.50
tr -c '0-9.-' '\n' | awk '/[0-9]/ { sum += $1 } END { printf "%.2f\n", sum }'
