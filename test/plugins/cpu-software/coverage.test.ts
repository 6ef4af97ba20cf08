/** Every advertised row of the instruction table is compared with the host, or there is a reason why not. */
import t from 'tap'
import { advertisedRows, familyOf, reasonApart, runsOnThisCpu } from './coverage.ts'

t.test('every advertised row is compared with the host or says why not', async (t) => {
  const without = advertisedRows.filter(
    (row) => reasonApart(row) === undefined && familyOf(row) === undefined,
  )
  t.same(
    without.map((row) => row.form),
    [],
  )
  const apart = new Map<string, string[]>()
  for (const row of advertisedRows) {
    const reason = reasonApart(row)
    if (reason !== undefined) apart.set(reason, [...(apart.get(reason) ?? []), row.form])
  }
  for (const [reason, forms] of apart) t.comment(`${reason}: ${[...new Set(forms)].join('; ')}`)
})

t.test('every advertised row is implemented', async (t) => {
  t.same(
    advertisedRows.filter((row) => !runsOnThisCpu(row)).map((row) => row.form),
    [],
  )
})
