# SPDX-License-Identifier: GPL-2.0-only
"""packetdrill scripts, run against the port in virtual time.

script      what a script says, as plain data
parse       text to script (grammar.lark)
options     a script's and the command line's options
wire        packets as bytes, and how they are printed
shell       commands between backquotes, applied to the virtual host
code        Python blocks
calls       system calls; epoll
runner      the run: time, mapping of numbers, comparison
report      what is said of it
command     the command line
"""
