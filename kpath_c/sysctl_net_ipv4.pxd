"""net/ipv4/sysctl_net_ipv4.c and its neighbours. See sysctl_net_ipv4.pyx."""
from kpath_c.headers.tcp cimport *

cdef void tcp_sk_init_sysctls(net *n) noexcept nogil
# 0, -ENOENT (6.18 has no such sysctl), -EINVAL, or what the setting's own parser answers.
cdef int sysctl_set(net *n, const char *name, const char *value) noexcept nogil
