# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .bigmem cimport Column

cdef extern from *:
    """
    /* gcc leaves out calls of a function that does nothing but prefetch, as one without effect: hence the asm */
    #define prefetch(p) do { __builtin_prefetch(p); __asm__ volatile(""); } while (0)
    """
    void prefetch(const void *p) nogil

cdef enum:
    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80
    AE = 0x100

cdef enum:
    ARRIVED = 0
    SENT = 1
    FOREIGN = 2

cdef enum:                  # Conn.skip
    OPEN_BEFORE = 1         # was open when the capture began
    ELSEWHERE = 2           # another process has it, see Table.keep

cdef struct Address:        # 128 bits in host order; IPv4's are mapped (::ffff:a.b.c.d)
    uint64_t high
    uint64_t low

cdef struct Seg:            # one TCP segment; ports and numbers in host order, addresses as numbers of the table's
    int64_t t               # ns since the epoch
    int64_t off             # of the IP header
    Seg *next               # its connection's next one in this window, or NULL
    Seg *before             # of one sent: the connection's one sent before, or NULL
    uint32_t row            # of the window's IP packets
    uint32_t caplen         # bytes of the IP packet that the capture holds
    uint32_t origlen        # bytes of it on the wire (with any padding of the link)
    int32_t conn            # -1 none
    # from here on zero where there is nothing to tell
    uint32_t saddr          # these four as in Conn: see addresses(), ports()
    uint32_t daddr
    uint16_t sport
    uint16_t dport
    uint32_t seq
    uint32_t ack
    uint32_t len            # payload on the wire
    uint16_t win
    uint16_t urg
    uint16_t flags          # as in the header, AE is 0x100
    uint8_t wscale          # 255 none
    uint8_t side            # ARRIVED, SENT, FOREIGN
    uint8_t ecn
    uint8_t ttl
    uint8_t hlen            # IP and TCP headers
    uint32_t hash           # of its connection's ends, 0: not reckoned yet
    # and from here on most segments, but for timestamps, have nothing
    uint64_t opts           # hash of all options in order but TSval
    uint32_t tsval
    uint32_t tsecr
    uint16_t mss            # 0 none
    uint8_t ts              # has timestamps
    uint8_t sackok
    uint8_t nsack
    uint8_t v6
    uint8_t bad             # delivered, but no segment that TCP would look at
    uint8_t partial         # the checksum field holds the pseudo-header's sum only

cdef struct Syn:            # what the SYN or SYN-ACK of one side said
    int64_t t               # ns
    uint32_t tsval
    uint16_t mss            # 0 none
    uint8_t wscale          # 255 none
    uint8_t ts

cdef struct Conn:           # one connection: a 4-tuple between one ISN of the local side and the next
    # what each segment is compared with and counted in comes first, in one line of the cache
    uint32_t laddr
    uint32_t raddr
    uint16_t lport
    uint16_t rport
    int32_t earlier         # the same 4-tuple's connection before, or -1
    int64_t syn_out         # number of the first SYN or SYN-ACK sent, -1 none
    int64_t syn_in          # number of the first SYN or SYN-ACK that arrived, -1 none
    int64_t n_out           # segments sent
    int64_t n_in
    uint32_t isn_out
    uint32_t isn_in
    uint8_t synack_out
    uint8_t synack_in
    uint8_t fin_out
    uint8_t fin_in
    uint8_t rst
    uint8_t skip            # not replayed: OPEN_BEFORE, ELSEWHERE
    uint8_t apart           # one of its ends is of the local side, the other is not
    int64_t row             # of the first segment, counted over all windows
    int64_t first           # number of the first segment, counted over all windows
    int64_t rst_out         # of the segments sent those with RST
    int64_t rst_in
    Syn out                 # the first SYN or SYN-ACK sent
    Syn got                 # the first one that arrived

cdef struct Touched:        # a connection that this window has segments of
    Seg *first
    Seg *last
    Seg *last_sent          # or NULL
    int32_t nsent
    int32_t conn

cdef struct Direction:      # from one address to another
    uint32_t src
    uint32_t dst
    uint64_t sum            # of the pseudo header but for the length

cdef struct Arrivals:       # columns of what is delivered
    int64_t *t
    int64_t *off
    int64_t *caplen
    int64_t *origlen
    int64_t *row
    Py_ssize_t n
    int64_t last            # time of the last one

@cython.final
cdef class Table:
    cdef Seg *seg
    cdef Py_ssize_t room
    cdef readonly Py_ssize_t n
    cdef Py_ssize_t npartial
    cdef readonly int64_t base  # segments in the windows before
    cdef int64_t rows_before    # rows in the windows before
    cdef Py_ssize_t rows        # of this window
    cdef const uint8_t[::1] buf
    cdef Conn *conn
    cdef readonly Py_ssize_t nconn
    cdef Py_ssize_t conn_room
    cdef int32_t *local     # of each connection: its place in `touched`, -1
    cdef Py_ssize_t local_room
    cdef Touched *touched   # ascending by connection
    cdef Py_ssize_t ntouched
    cdef Py_ssize_t touched_room
    cdef list ends          # the local side: (address as `packed` gives it, port or 0 for any)
    cdef Py_ssize_t nends
    cdef int64_t *end_addr  # the same with numbers of addresses, -1: does not occur
    cdef uint16_t *end_port
    cdef int part, parts    # see keep()
    cdef tuple columns      # memory of arrivals()
    cdef Column words       # of address_words()
    cdef int64_t delivered_t    # time of the last arrival
    cdef bint skips             # is any connection not replayed?
    cdef Table names        # whose numbers the addresses have, where they are not this table's own
    cdef int32_t *now       # adopt(): of each connection, the last of those with its 4-tuple that has begun
    cdef Py_ssize_t now_room
    cdef int32_t *slots     # open-addressed hash: connection number + 1
    cdef Py_ssize_t nslots
    cdef int32_t recent     # the connection that was found last, -1: none that is apart
    cdef Address *addr      # the addresses that occur, by their numbers
    cdef Py_ssize_t naddr
    cdef uint32_t *addr_slots   # open-addressed hash: address number + 1
    cdef Py_ssize_t naddr_slots
    cdef int64_t recent_addr[2] # numbers of addresses just met
    cdef Direction *direction
    cdef Py_ssize_t ndirection
    cdef Py_ssize_t direction_room
    cdef Direction *current[2]  # those just met, or NULL
    cdef uint64_t raw[2]        # and both their addresses as an IPv4 header has them
    cdef uint32_t *direction_slots  # open-addressed hash: number of a direction + 1
    cdef Py_ssize_t ndirection_slots
    cdef list icmp              # messages of this window: (row, t, off, caplen, origlen)
    cdef bint icmp_of_none      # are ICMP messages about no connection of this part's?
    cdef readonly dict problems
    cdef Py_ssize_t address_slot(self, const Address *a) noexcept nogil
    cdef int64_t find_address(self, const Address *a) noexcept nogil
    cdef int64_t number(self, const Address *a) except -1
    cdef int64_t other_number(self, const Address *a) except -1
    cdef Py_ssize_t take_any(self, Seg *s, const uint8_t *p) except -1
    cdef int64_t number_of(self, a) except -2
    cdef int grow_addresses(self) except -1
    cdef bint is_v6(self, uint32_t number) noexcept nogil
    cdef object text(self, uint32_t number)
    cdef int make_room(self, Py_ssize_t room) except -1
    cdef bint elsewhere(self, const uint8_t *p, int64_t caplen, int64_t origlen) noexcept nogil
    cdef uint64_t part_of(self, const Conn *p) noexcept nogil
    cdef int begin(self, Py_ssize_t room) except -1
    cdef void fetch(self, Seg *far, Seg *near) noexcept nogil
    cdef int32_t touch(self, Seg *s, int32_t c) except -1
    cdef void touch_none(self) noexcept nogil
    cdef int finish_touched(self) except -1
    cdef int sort_touched(self) except -1
    cdef int split_window(self) except -1
    cdef int split_one(self, Seg *s) except -1
    cdef void mark_new(self, Py_ssize_t first) noexcept
    cdef tuple room_for_arrivals(self, Py_ssize_t n)
    cdef Py_ssize_t behind(self, int64_t row) noexcept nogil
    cdef void deliver_all(self, Arrivals *r, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
    cdef dict described(self, const Seg *s, const uint8_t *ip)
    cdef Direction *other_direction(self, const Seg *s, const uint8_t *p) except NULL
    cdef Direction *new_direction(self, uint32_t src, uint32_t dst) except NULL
    cdef Py_ssize_t direction_slot(self, uint32_t src, uint32_t dst) noexcept nogil
    cdef int grow_directions(self) except -1
    cdef int32_t find(self, uint32_t hashed, uint32_t laddr, uint16_t lport, uint32_t raddr,
                      uint16_t rport) noexcept nogil
    cdef int rehash(self, Py_ssize_t nslots) except -1
    cdef void put(self, int32_t c) noexcept nogil
    cdef int32_t open(self, Seg *s, int64_t at, int32_t earlier) except -2
    cdef int32_t connection_of(self, Seg *s, int64_t at) except -2
    cdef bint keeps_icmp(self, const uint8_t *p, Py_ssize_t n) noexcept
    cdef int32_t same_isn(self, Table other, Seg *s, int32_t newest) noexcept
    cdef Py_ssize_t local_of(self, Py_ssize_t c) noexcept nogil
    cdef Seg *first_of(self, Py_ssize_t c) noexcept nogil
    cdef Py_ssize_t nsent(self, Py_ssize_t c) noexcept nogil
    cdef Seg *last_sent(self, Py_ssize_t c) noexcept nogil
    cdef void fetch_sent(self, Py_ssize_t c) noexcept nogil
    cdef Py_ssize_t sent(self, Py_ssize_t c, Seg **out) noexcept nogil
    cdef int room_for(self, Py_ssize_t nconn) except -1
    cdef bint is_local(self, uint32_t addr, uint16_t port) noexcept nogil
    cdef int side_of(self, const Seg *s) noexcept nogil
    cdef int32_t look_up(self, Seg *s) noexcept nogil
    cdef int number_ends(self) except -1

cdef uint32_t held(const Seg *s) noexcept nogil
cdef Py_ssize_t ip_length(const uint8_t *ip) noexcept nogil
cdef void tcp_checksum(uint8_t *ip, Py_ssize_t iphl, Py_ssize_t n, const uint8_t *data,
                       Py_ssize_t datalen) noexcept nogil
cdef void ip_checksum(uint8_t *ip, Py_ssize_t iphl) noexcept nogil
