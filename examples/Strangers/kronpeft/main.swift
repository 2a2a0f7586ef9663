import Catalog
import Kronecker
import PEFTCLI

// The whole command line, with one method more.
await PEFTCommand.main(plugins: Catalog.plugins + [KroneckerMethod.plugin], entries: Catalog.entries + [KroneckerMethod.entry])
