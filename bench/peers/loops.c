/* SPDX-License-Identifier: GPL-2.0-only
 * What a machine can do at most: loops that kpath's speed is compared with. Built and run by bench/peers.py.
 *
 *   loops headers FILE     maps a pcap (ns or us, any link type of raw IPv4) and adds up the headers' fields
 *   loops checksums FILE   the same, verifying each IP header's checksum and adding up each TCP segment's bytes
 *   loops lookup N [STRIDE]  a chained hash of N sockets by 4-tuple (jhash), looked up at random; as in the kernel's
 *                          there are 512 K chains at most. STRIDE: bytes from one to the next (64)
 *   loops connections N    the running kernel: socket(), connect(), accept(), and close() of both ends, over loopback
 *
 * Each prints: units done, processor time in ns, and a sum, so that no compiler leaves the work out.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	HUGE_PAGE = 2 << 20,
	NOT_HERE = 3,			/* exit status: this machine does not allow it */
	MOST_CHAINS = 512 * 1024,	/* alloc_large_system_hash()'s limit for the established table */
};

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int done(int64_t units, int64_t ns, uint64_t sum)
{
	printf("%lld %lld %llu\n", (long long)units, (long long)ns, (unsigned long long)sum);
	return 0;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint64_t add_up(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;

	for (; n >= 4; p += 4, n -= 4)
		sum += load32(p);
	while (n--)
		sum += *p++;
	return sum;
}

static int walk(const char *path, int verify)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	const uint8_t *file;
	uint64_t sum = 0;
	int64_t units = 0, start;
	off_t at = 24;

	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		return 1;
	}
	start = cpu_ns();
	file = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (file == MAP_FAILED) {
		perror(path);
		return 1;
	}
	while (at + 16 <= st.st_size) {
		uint32_t held = load32(file + at + 8);
		const uint8_t *ip = file + at + 16, *tcp = ip + 20;

		at += 16 + held;
		if (at > st.st_size || held < 40)
			break;
		if (verify)
			sum += add_up(ip, 20) + add_up(ip + 12, held - 12);
		else
			sum += load32(ip + 12) + load32(ip + 16) + load32(tcp) + load32(tcp + 4) + load32(tcp + 8) + tcp[13];
		units++;
	}
	return done(units, cpu_ns() - start, sum);
}

/*
 * A node has a cache line to itself, as the head of a socket has: a table with two nodes in a line holds no sockets. It
 * is smaller than a socket can be all the same. STRIDE puts the nodes as far apart as sockets are: that costs no more
 * lines but more pages, which tells above 10,000 of them, in a virtual machine most of all.
 */
enum { LINE = 64 };

struct entry {
	struct entry *next;
	uint32_t saddr, daddr;
	uint32_t ports;
	uint32_t hash;
	uint32_t refs;
};

static uint32_t rol(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

/* Bob Jenkins' final mix of three words (lookup3, in the public domain). */
static uint32_t hash3(uint32_t a, uint32_t b, uint32_t c)
{
	a += 0xdeadbeef + 12, b += 0xdeadbeef + 12, c += 0xdeadbeef + 12;
	c ^= b, c -= rol(b, 14);
	a ^= c, a -= rol(c, 11);
	b ^= a, b -= rol(a, 25);
	c ^= b, c -= rol(b, 16);
	a ^= c, a -= rol(c, 4);
	b ^= a, b -= rol(a, 14);
	c ^= b, c -= rol(b, 24);
	return c;
}

static void key(uint64_t i, uint32_t *saddr, uint32_t *ports)
{
	*saddr = 0xAC100000u + (uint32_t)(i >> 4);
	*ports = (uint32_t)(32768 + (i & 15) * 97) << 16 | 443;
}

/* Zeros in huge pages, as kpath has them for its sockets and tables. */
static void *huge_alloc(size_t size)
{
	void *p;

	size = (size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
	p = aligned_alloc(HUGE_PAGE, size);
	if (!p)
		return NULL;
	madvise(p, size, MADV_HUGEPAGE);
	return memset(p, 0, size);
}

static int lookup(uint64_t n, size_t stride)
{
	const uint32_t daddr = 0x0A000001;
	uint64_t size = 512, x = 0x9E3779B97F4A7C15ull, found = 0, i;
	struct entry **table, *e;
	char *all = huge_alloc(n * stride);
	uint32_t saddr, ports, h;
	int64_t start;

	while (size < n && size < MOST_CHAINS)
		size *= 2;
	table = huge_alloc(size * sizeof(*table));
	if (!all || !table)
		return 1;
	for (i = 0; i < n; i++) {
		key(i, &saddr, &ports);
		h = hash3(saddr, daddr, ports);
		e = (struct entry *)(all + i * stride);
		*e = (struct entry){table[h & (size - 1)], saddr, daddr, ports, h, 1};
		table[h & (size - 1)] = e;
	}
	start = cpu_ns();
	for (i = 0; i < 1000000; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		key((x >> 32) * n >> 32, &saddr, &ports);
		h = hash3(saddr, daddr, ports);
		for (e = table[h & (size - 1)]; e; e = e->next)
			if (e->hash == h && e->saddr == saddr && e->daddr == daddr && e->ports == ports)
				break;
		if (!e)
			continue;
		/* Who finds a socket holds it, and lets go of it. */
		e->refs++;
		__asm__ volatile("" ::: "memory");
		e->refs--;
		found++;
	}
	return done(i, cpu_ns() - start, found);
}

/* Both ends' work is done in these calls: loopback hands a packet on before the call that sends it returns. */
static int connections(int64_t n)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(to);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int64_t start, i;
	int near, far;

	if (listener < 0 || bind(listener, (struct sockaddr *)&to, length) || listen(listener, 16) ||
	    getsockname(listener, (struct sockaddr *)&to, &length)) {
		perror("loopback");
		return NOT_HERE;
	}
	start = cpu_ns();
	for (i = 0; i < n; i++) {
		near = socket(AF_INET, SOCK_STREAM, 0);
		if (near < 0 || connect(near, (struct sockaddr *)&to, length)) {
			perror("connect");
			return NOT_HERE;
		}
		far = accept(listener, NULL, NULL);
		close(near);
		close(far);
	}
	return done(n, cpu_ns() - start, 0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "headers"))
		return walk(argv[2], 0);
	if (argc == 3 && !strcmp(argv[1], "checksums"))
		return walk(argv[2], 1);
	if ((argc == 3 || argc == 4) && !strcmp(argv[1], "lookup"))
		return lookup(strtoull(argv[2], NULL, 10), argc == 4 ? strtoull(argv[3], NULL, 10) : LINE);
	if (argc == 3 && !strcmp(argv[1], "connections"))
		return connections(strtoll(argv[2], NULL, 10));
	fprintf(stderr, "loops: expected headers FILE, checksums FILE, lookup N [STRIDE] or connections N\n");
	return 2;
}
