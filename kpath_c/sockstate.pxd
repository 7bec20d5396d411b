"""Sockets as Python dictionaries, for tests, reports and the corpus tools (see sockstate.pyx)."""
from kpath_c.headers.tcp cimport tcp_info, tcp_sock

cdef dict sock_dict(tcp_sock *tp)
cdef dict tcp_info_dict(tcp_info *i)
