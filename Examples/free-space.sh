#!/bin/sh
# A tool: its arguments come as JSON on stdin, what it prints is the result, and an exit status other than 0 is an error.
folder=$(sed 's/.*"folder" *: *"\([^"]*\)".*/\1/')
df -h "$folder"
