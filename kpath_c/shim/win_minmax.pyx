"""The lowest or highest value of a stream over a sliding window, in constant space (Kathleen Nichols' filter).

The best, second and third best are kept, each later than the one before and spread over the window.
Follows lib/win_minmax.c of Linux 6.18 (GPL-2.0-only). No deviations.
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.tcp cimport minmax_reset


# Time went by without a better value: the older ones drop out, or are backed up from a later part of the window.
cdef u32 minmax_subwin_update(minmax *m, u32 win, minmax_sample *val) noexcept nogil:
    cdef u32 dt = val.t - m.s[0].t

    if dt > win:
        m.s[0] = m.s[1]
        m.s[1] = m.s[2]
        m.s[2] = val[0]
        if <u32>(val.t - m.s[0].t) > win:
            m.s[0] = m.s[1]
            m.s[1] = m.s[2]
            m.s[2] = val[0]
    elif m.s[1].t == m.s[0].t and dt > win // 4:
        m.s[1] = val[0]
        m.s[2] = val[0]
    elif m.s[2].t == m.s[1].t and dt > win // 2:
        m.s[2] = val[0]
    return m.s[0].v


cdef u32 minmax_running_max(minmax *m, u32 win, u32 t, u32 meas) noexcept nogil:
    cdef minmax_sample val

    val.t = t
    val.v = meas
    if meas >= m.s[0].v or <u32>(t - m.s[2].t) > win:
        return minmax_reset(m, t, meas)
    if meas >= m.s[1].v:
        m.s[1] = val
        m.s[2] = val
    elif meas >= m.s[2].v:
        m.s[2] = val
    return minmax_subwin_update(m, win, &val)


cdef u32 minmax_running_min(minmax *m, u32 win, u32 t, u32 meas) noexcept nogil:
    cdef minmax_sample val

    val.t = t
    val.v = meas
    if meas <= m.s[0].v or <u32>(t - m.s[2].t) > win:
        return minmax_reset(m, t, meas)
    if meas <= m.s[1].v:
        m.s[1] = val
        m.s[2] = val
    elif meas <= m.s[2].v:
        m.s[2] = val
    return minmax_subwin_update(m, win, &val)
