"""lib/win_minmax.c. See win_minmax.pyx; minmax_get() and minmax_reset() are in headers/tcp.pxd."""
from kpath_c.headers.types cimport *

cdef u32 minmax_running_max(minmax *m, u32 win, u32 t, u32 meas) noexcept nogil
cdef u32 minmax_running_min(minmax *m, u32 win, u32 t, u32 meas) noexcept nogil
