import t from 'tap'
import { type ListRow, listTable } from '../../src/cli/list-table.ts'

/** What xl 4.17 printed for two guests, one after another with different options. */
const HEADER = 'Name                                        ID   Mem VCPUs\tState\tTime(s)'
const one: ListRow = {
  name: 'one',
  domid: 15,
  memoryMiB: 192,
  vcpus: 2,
  state: '-b----',
  cpuSeconds: 21.46,
  uuid: '00000000-1111-2222-3333-444444444410',
}
const con: ListRow = {
  ...one,
  name: 'con',
  domid: 6,
  memoryMiB: 256.99,
  vcpus: 1,
  cpuSeconds: 37.4,
  uuid: '00000000-1111-2222-3333-444444444401',
}

t.test('the table is byte for byte that of xl', async (t) => {
  t.equal(
    listTable([con, one]),
    `${HEADER}
con                                          6   256     1     -b----      37.4
one                                         15   192     2     -b----      21.5
`,
  )
})

t.test('so are the further columns', async (t) => {
  t.equal(
    listTable([one], { verbose: true }),
    `${HEADER}   UUID                            Reason-Code\tSecurity Label
one                                         15   192     2     -b----      21.5 00000000-1111-2222-3333-444444444410        -                -
`,
  )
  t.equal(
    listTable([con], { context: true }),
    `${HEADER}   Security Label
con                                          6   256     1     -b----      37.4                -
`,
  )
  t.equal(
    listTable([con], { cpupool: true }),
    `${HEADER}         Cpupool
con                                          6   256     1     -b----      37.4          Pool-0
`,
  )
  t.equal(
    listTable([con], { numa: true }),
    `${HEADER} NODE Affinity
con                                          6   256     1     -b----      37.4 all
`,
  )
})

t.test('the reason of a shutdown is hexadecimal, and a long name pushes the row right', async (t) => {
  const name = 'a'.repeat(45)
  const text = listTable([{ ...con, name, state: '---sc-', shutdownReason: 3 }], { verbose: true })
  t.match(text, `${name}     6   256     1     ---sc-      37.4 ${con.uuid}        3                -\n`)
})
