import { describe, expect, test } from 'vitest';
import { addressKey } from '../../src/http/client-address.ts';

describe('the name of a client where clients are counted', () => {
  test.each([
    ['an IPv4 address', '192.0.2.7', '192.0.2.7'],
    ['an IPv4 address in IPv6 clothes', '::ffff:192.0.2.7', '192.0.2.7'],
    ['an IPv6 address', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['a shortened IPv6 address', '2001:db8::1', '2001:db8:0:0::/64'],
    ['zeros in front', '2001:0DB8:0001::1', '2001:db8:1:0::/64'],
    ['a zone', 'fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['loopback', '::1', '0:0:0:0::/64'],
    ['a dotted tail', '64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    ['an early gap', '2001::2:3:4:5:6:7', '2001:0:2:3::/64'],
  ])('is the address or its /64: %s', (_name, address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  test('two addresses of one /64 have one name, those of two do not', () => {
    expect(addressKey('2001:db8::1')).toBe(addressKey('2001:db8::ffff:1'));
    expect(addressKey('2001:db8::1')).not.toBe(addressKey('2001:db8:0:1::1'));
  });

  test.each([undefined, '', 'nonsense', '192.0.2.7:4711', '1.2.3.4, 5.6.7.8'])(
    'is the same for everything that is no address: %s',
    (address) => {
      expect(addressKey(address)).toBe('unknown');
    },
  );
});
